# The default of later Rails versions for SQLite, so that concurrent writers wait for each other:
# - A transaction takes the write lock when it begins. If two transactions that have both read start to write, SQLite
#   fails one of them immediately, independent of the timeout.
# - The wait is done in Ruby. The wait inside SQLite (`timeout` in database.yml) holds Ruby's global lock, which blocks
#   the thread that holds the write lock.
module SqliteConcurrency
  WAIT_SECONDS = 0.005
  WAIT_TIMES = 1000

  def begin_db_transaction
    log("begin immediate transaction", "TRANSACTION") { @connection.transaction(:immediate) }
  end

  private

  def configure_connection
    super
    @connection.busy_handler do |times|
      sleep WAIT_SECONDS
      times < WAIT_TIMES
    end
  end
end

ActiveSupport.on_load(:active_record_sqlite3adapter) { prepend SqliteConcurrency }
