Rails.application.configure do
  config.cache_classes = true
  config.eager_load = true
  # Tests use the same error responses as production.
  config.consider_all_requests_local = false
  config.logger = ActiveSupport::Logger.new(IO::NULL)
  # Rails would migrate a database on disk; test/test_helper.rb migrates the one in memory.
  config.active_record.maintain_test_schema = false
  config.active_support.deprecation = :raise
  config.active_support.disallowed_deprecation = :raise
end
