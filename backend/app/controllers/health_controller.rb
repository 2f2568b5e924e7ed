# Healthy means that the database answers, which reading the table proves and "SELECT 1" would not: SQLite answers
# that without opening the file.
class HealthController < ApplicationController
  def show
    Link.exists?
    render json: { status: "ok" }
  rescue ActiveRecord::ActiveRecordError => e
    logger.error { "Health: #{e.class}: #{e.message}" }
    render_error :service_unavailable, "The database does not answer"
  end
end
