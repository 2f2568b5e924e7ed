# RubyGems finds the libraries of the Debian packages without Bundler. Rails commands need pathname, which Bundler would
# otherwise load.
require "pathname"

# Write output to the container's log immediately.
$stdout.sync = true
