Rails.application.configure do
  config.cache_classes = true
  config.eager_load = true
  config.consider_all_requests_local = false
  config.active_support.deprecation = :notify
  # db/schema.rb is written in development, not in the image.
  config.active_record.dump_schema_after_migration = false
end
