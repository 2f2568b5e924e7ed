require "test_helper"

class HealthTest < ActionDispatch::IntegrationTest
  test "is up when the database answers" do
    get "/up"

    assert_response :ok
    assert_equal({ "status" => "ok" }, response.parsed_body)
  end

  test "is unavailable when the database has no links table" do
    ActiveRecord::Base.connection.drop_table :links # undone with the test's transaction

    get "/up"

    assert_response :service_unavailable
    assert_equal({ "error" => "The database does not answer" }, response.parsed_body)
  end

  test "answers whatever host a request names" do
    get "/up", headers: { "Host" => "10.1.2.3:3000" }
    assert_response :ok

    get "/up", headers: { "Host" => "anything.example" }
    assert_response :ok
  end
end
