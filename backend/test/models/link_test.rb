require "test_helper"

class LinkTest < ActiveSupport::TestCase
  def errors_of(**attributes)
    Link.new(attributes).tap(&:validate).errors.messages
  end

  %w[http://a.example https://a.example/b?c=d#e http://127.0.0.1:8080/ http://[::1]/ https://user@a.example/].each do |url|
    test "accepts #{url}" do
      assert_empty errors_of(url: url)
    end
  end

  ["ftp://a.example/", "javascript:alert(1)", "a.example", "//a.example/", "http:", "http://", "http:///a", "http:a",
   "https://a example/", "https://a.example/\nb", "https://a.example/\u0000b", "https://é.example/"].each do |url|
    test "refuses #{url.inspect}" do
      assert_equal({ url: ["must be an http or https URL with a host"] }, errors_of(url: url))
    end
  end

  [nil, "", "  "].each do |url|
    test "refuses #{url.inspect} as missing" do
      assert_equal({ url: ["can't be blank"] }, errors_of(url: url))
    end
  end

  test "limits the length of the URL" do
    start = "https://a.example/"

    assert_empty errors_of(url: start.ljust(2048, "x"))
    assert_equal({ url: ["is too long (maximum is 2048 characters)"] }, errors_of(url: start.ljust(2049, "x")))
  end

  test "limits the length of the title" do
    assert_empty errors_of(url: "https://a.example/", title: "x" * 255)
    assert_equal [:title], errors_of(url: "https://a.example/", title: "x" * 256).keys
  end

  test "stores URLs normalized" do
    assert_equal "https://a.example/Path?Q=1", Link.create!(url: " HTTPS://A.Example/Path?Q=1 ").url
    assert_equal "https://b.example/", Link.create!(url: "https://b.example").url
  end

  test "treats paths that differ in case as different links" do
    Link.create!(url: "https://a.example/x")

    assert_empty errors_of(url: "https://a.example/X")
  end

  test "the database itself refuses a second link of one URL" do
    2.times.map { Link.new(url: "https://a.example/") }.then do |first, second|
      first.save!
      assert_raises(ActiveRecord::RecordNotUnique) { second.save!(validate: false) }
    end
  end
end
