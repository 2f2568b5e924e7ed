ENV["RAILS_ENV"] = "test"
require_relative "../config/environment"
require "rails/test_help"
require "minitest/mock"

# The database is in memory, so each run makes its own; from the migrations, as production does.
ActiveRecord::Migration.suppress_messages { ActiveRecord::Base.connection.migration_context.migrate }
