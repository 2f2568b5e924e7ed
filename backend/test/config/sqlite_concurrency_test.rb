require "test_helper"
require "tmpdir"

class SqliteConcurrencyTest < ActiveSupport::TestCase
  self.use_transactional_tests = false

  class Tally < ActiveRecord::Base; end

  test "transactions that read and then write wait for each other" do
    Dir.mktmpdir do |folder|
      Tally.establish_connection(adapter: "sqlite3", database: File.join(folder, "tally.sqlite3"), pool: 8)
      Tally.connection.create_table(:tallies) { |t| t.integer :count, null: false }
      tally = Tally.create!(count: 0)
      Tally.connection_handler.clear_active_connections!

      threads = Array.new(8) do
        Thread.new do
          25.times { Tally.transaction { Tally.find(tally.id).then { |it| it.update!(count: it.count + 1) } } }
        ensure
          Tally.connection_handler.clear_active_connections!
        end
      end
      threads.each(&:join)

      assert_equal 200, tally.reload.count
    ensure
      Tally.remove_connection
    end
  end
end
