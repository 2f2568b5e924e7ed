# Healthy if a table can be read. "SELECT 1" would not be sufficient: SQLite evaluates it without opening the file.
class HealthController < ApplicationController
  def show
    Link.exists?
    render json: { status: "ok" }
  rescue ActiveRecord::ActiveRecordError => e
    logger.error { "Health: #{e.class}: #{e.message}" }
    render_error :service_unavailable, "The database does not answer"
  end
end
