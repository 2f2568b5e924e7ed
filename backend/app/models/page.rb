# One page of a list, as requested by the query.
class Page
  class Invalid < StandardError; end

  DEFAULT_SIZE = 20
  MAX_SIZE = 100
  # Keeps the offset within SQLite's 64-bit integers.
  MAX_NUMBER = 1_000_000_000

  attr_reader :number, :size

  # number, size: strings from the query, or nil. Raises Invalid unless they are integers within bounds.
  def initialize(number:, size:)
    @number = positive_integer("page", number, default: 1, max: MAX_NUMBER)
    @size = positive_integer("per_page", size, default: DEFAULT_SIZE, max: MAX_SIZE)
  end

  def of(relation)
    relation.limit(size).offset((number - 1) * size)
  end

  private

  def positive_integer(name, text, default:, max:)
    return default if text.nil?

    value = Integer(text, 10, exception: false) if text.is_a?(String)
    return value if value&.between?(1, max)

    raise Invalid, "#{name} must be a whole number from 1 to #{max}"
  end
end
