Rails.application.routes.draw do
  get "/up", to: "health#show"

  # Without the constraint "1abc" would be cast to 1.
  resources :links, only: %i[index show create destroy], constraints: { id: /\d+/ }

  # Left to Rails, each stray request would log a page of backtrace.
  match "(*unknown)", via: :all, to: ->(_env) { JsonErrors.answer(404) }
end
