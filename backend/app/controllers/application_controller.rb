# Every error is {"error": message}. For invalid records, it also contains "details" (messages by attribute).
class ApplicationController < ActionController::API
  wrap_parameters format: [:json]

  rescue_from ActiveRecord::RecordNotFound do
    render_error :not_found, "Not Found"
  end

  rescue_from ActionDispatch::Http::Parameters::ParseError do
    render_error :bad_request, "The body is not valid JSON"
  end

  rescue_from ActionController::ParameterMissing do |e|
    render_error :bad_request, "#{e.param} is missing or empty"
  end

  rescue_from ActionController::BadRequest do |e|
    render_error :bad_request, e.message
  end

  private

  def render_error(status, message, **extra)
    render json: { error: message, **extra }, status: status
  end
end
