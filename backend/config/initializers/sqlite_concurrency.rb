# What later versions of Rails do for SQLite by default, so that threads that write at once wait for each other:
# - a transaction takes the write lock when it begins, since SQLite refuses at once, whatever the timeout, to let two
#   transactions that have both read turn to writing;
# - waiting happens in Ruby, since the wait inside SQLite (`timeout` in database.yml) holds Ruby's global lock, and
#   with it the very thread that is waited for.
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
