Rails.application.routes.draw do
  get "/up", to: "health#show"

  # Without the constraint, "1abc" would be cast to 1.
  resources :links, only: %i[index show create destroy], constraints: { id: /\d+/ }

  # By default, Rails logs a full backtrace for each unknown route.
  match "(*unknown)", via: :all, to: ->(_env) { JsonErrors.answer(404) }
end
