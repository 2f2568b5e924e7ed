# Error answers from outside the controllers, in the same JSON. As the application's exceptions_app it is called with
# the status as the path ("/400"). Plain Rack: a controller would parse the request again, malformed as it may be.
module JsonErrors
  def self.call(env)
    answer Integer(env["PATH_INFO"].delete_prefix("/"), 10)
  end

  def self.answer(status)
    message = Rack::Utils::HTTP_STATUS_CODES.fetch(status, "Error")
    [status, { "Content-Type" => "application/json; charset=utf-8" }, [{ error: message }.to_json]]
  end
end
