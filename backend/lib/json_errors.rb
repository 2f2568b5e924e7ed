# Error responses from outside the controllers, in the same JSON format. As the application's exceptions_app, this is
# called with the status as the path ("/400"). It is plain Rack, because a controller would parse the possibly malformed
# request again.
module JsonErrors
  def self.call(env)
    answer Integer(env["PATH_INFO"].delete_prefix("/"), 10)
  end

  def self.answer(status)
    message = Rack::Utils::HTTP_STATUS_CODES.fetch(status, "Error")
    [status, { "Content-Type" => "application/json; charset=utf-8" }, [{ error: message }.to_json]]
  end
end
