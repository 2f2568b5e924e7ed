require "test_helper"

class LinksTest < ActionDispatch::IntegrationTest
  def save_links(count)
    (1..count).map { |n| Link.create!(url: "https://example.com/#{n}") }
  end

  def post_raw(body)
    post "/links", params: body, headers: { "Content-Type" => "application/json" }
  end

  test "creates a link and says where it is" do
    post "/links", params: { link: { url: "https://example.com/a", title: "A" } }, as: :json

    assert_response :created
    link = Link.last
    assert_equal "http://www.example.com/links/#{link.id}", response.headers["Location"]
    assert_equal %w[id url title created_at], response.parsed_body.keys
    assert_equal({ "id" => link.id, "url" => "https://example.com/a", "title" => "A" },
                 response.parsed_body.except("created_at"))
  end

  test "takes the attributes without the link key too" do
    post "/links", params: { url: "https://example.com/a" }, as: :json

    assert_response :created
  end

  test "refuses an invalid link and says why" do
    post "/links", params: { link: { url: "ftp://example.com/a" } }, as: :json

    assert_response :unprocessable_entity
    assert_equal({ "url" => ["must be an http or https URL with a host"] }, response.parsed_body["details"])
    assert_equal 0, Link.count
  end

  test "refuses a URL that is saved already" do
    save_links(1)
    post "/links", params: { link: { url: "HTTPS://EXAMPLE.com/1" } }, as: :json

    assert_response :unprocessable_entity
    assert_equal({ "url" => ["has already been taken"] }, response.parsed_body["details"])
  end

  test "refuses a URL that another request saves at the same moment" do
    save_links(1)
    # The race cannot be timed, so the validation is stubbed to find no such link.
    late = Link.new(url: "https://example.com/1")
    late.define_singleton_method(:save) { super(validate: false) }

    Link.stub(:new, late) do
      post "/links", params: { link: { url: "https://example.com/1" } }, as: :json
    end

    assert_response :unprocessable_entity
    assert_equal({ "url" => ["has already been taken"] }, response.parsed_body["details"])
  end

  test "refuses malformed JSON" do
    post_raw '{"link": {'

    assert_response :bad_request
    assert_equal({ "error" => "The body is not valid JSON" }, response.parsed_body)
  end

  ["", "{}", "[]", "[1]", "null", '"text"', '{"link": null}', '{"link": "text"}', '{"link": [1]}', '{"other": 1}',
   "{\"link\": {\"url\": \"https://example.com/\xFF\"}}"].each do |body|
    test "refuses the body #{body.inspect}" do
      post_raw body

      assert_response :bad_request
      assert_kind_of String, response.parsed_body["error"]
    end
  end

  test "names the parameter that is missing" do
    post "/links", params: {}, as: :json

    assert_equal({ "error" => "link is missing or empty" }, response.parsed_body)
  end

  test "ignores attributes that are not for clients" do
    post "/links", params: { link: { url: { a: 1 }, title: "A", id: 7 } }, as: :json

    assert_response :unprocessable_entity
    assert_equal ["url"], response.parsed_body["details"].keys
  end

  test "shows a link" do
    link = save_links(1).first
    get "/links/#{link.id}"

    assert_response :ok
    assert_equal link.url, response.parsed_body["url"]
  end

  test "deletes a link" do
    link = save_links(1).first
    delete "/links/#{link.id}"

    assert_response :no_content
    assert_empty response.body
    assert_not Link.exists?(link.id)
  end

  %w[/links/1 /links/1abc /links/99999999999999999999999 /nothing /].each do |path|
    test "has nothing at #{path}" do
      get path

      assert_response :not_found
      assert_equal "application/json; charset=utf-8", response.content_type
      assert_equal({ "error" => "Not Found" }, response.parsed_body)
    end
  end

  test "deleting a link that does not exist is not found" do
    delete "/links/1"

    assert_response :not_found
  end

  test "lists nothing when nothing is saved" do
    get "/links"

    assert_response :ok
    assert_equal({ "links" => [], "page" => 1, "per_page" => 20, "total" => 0 }, response.parsed_body)
  end

  test "lists the newest first, in pages" do
    save_links(5)

    urls = [1, 2, 3, 4].map do |number|
      get "/links", params: { page: number, per_page: 2 }
      assert_response :ok
      assert_equal 5, response.parsed_body["total"]
      response.parsed_body["links"].map { |link| link["url"].delete_prefix("https://example.com/").to_i }
    end

    assert_equal [[5, 4], [3, 2], [1], []], urls
  end

  test "refuses a malformed query" do
    get "/links?page=%FF"

    assert_response :bad_request
    assert_equal({ "error" => "Bad Request" }, response.parsed_body)
  end

  test "takes the bounds of page and per_page" do
    get "/links", params: { page: 1_000_000_000, per_page: 100 }

    assert_response :ok
  end

  [{ page: 0 }, { page: -1 }, { page: "x" }, { page: "" }, { page: 1_000_000_001 }, { page: [1] }, { page: { a: 1 } },
   { per_page: 0 }, { per_page: 101 }, { per_page: "1.5" }].each do |query|
    test "refuses the query #{query}" do
      get "/links", params: query

      assert_response :bad_request
      assert_match(/\A#{query.keys.first} must be a whole number from 1 to \d+\z/, response.parsed_body["error"])
    end
  end
end
