ENV["RAILS_ENV"] = "test"
require_relative "../config/environment"
require "rails/test_help"
require "minitest/mock"

# Each run creates its own database in memory from the migrations, as production does.
ActiveRecord::Migration.suppress_messages { ActiveRecord::Base.connection.migration_context.migrate }
