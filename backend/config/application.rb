require_relative "boot"

require "securerandom"
require "rails"
require "active_record/railtie"
require "action_controller/railtie"
require "rails/test_unit/railtie" unless Rails.env.production?

require_relative "../lib/json_errors"

module LinkRadar
  class Application < Rails::Application
    config.load_defaults 6.1
    config.api_only = true

    # Requests arrive by IP, by service name and through proxies, so the host header is not checked here.
    config.hosts.clear

    # Exceptions that no controller rescues (an unknown route, a bug) also return JSON.
    config.exceptions_app = JsonErrors

    # Saved URLs can contain tokens.
    config.filter_parameters += [:url]

    config.logger = ActiveSupport::TaggedLogging.new(ActiveSupport::Logger.new($stdout))
    config.log_tags = [:request_id]
    config.log_level = ENV.fetch("RAILS_LOG_LEVEL", "info").downcase.to_sym

    # This API signs nothing with it (no sessions, no cookies), so a random key per process is sufficient.
    def secret_key_base
      @secret_key_base ||= ENV["SECRET_KEY_BASE"].presence || SecureRandom.hex(64)
    end
  end
end
