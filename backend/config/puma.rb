max_threads = Integer(ENV.fetch("RAILS_MAX_THREADS", "5"), 10)

threads max_threads, max_threads
environment ENV.fetch("RAILS_ENV", "development")
bind "tcp://0.0.0.0:#{Integer(ENV.fetch('PORT', '3000'), 10)}"

# On SIGTERM: stop accepting requests, wait up to 5 s for running ones (Docker waits 10 s), exit with 0.
raise_exception_on_sigterm false
force_shutdown_after 5
