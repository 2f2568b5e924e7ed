# RubyGems finds the libraries where Debian's packages put them, so there is no Bundler to set up here; only this,
# which Bundler would have loaded and Rails's commands rely on.
require "pathname"

# Output must reach the container's log as it is written.
$stdout.sync = true
