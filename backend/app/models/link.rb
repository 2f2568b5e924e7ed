# A URL that a user saved. It is normalized (lowercase scheme and host, "/" for an empty path), so that different
# spellings of one address are the same link.
class Link < ApplicationRecord
  MAX_URL_LENGTH = 2048
  MAX_TITLE_LENGTH = 255

  before_validation :normalize_url

  validates :url, presence: true, length: { maximum: MAX_URL_LENGTH }
  validate :url_is_http_with_host, if: -> { errors[:url].empty? }
  validates :url, uniqueness: true, if: -> { errors[:url].empty? }
  validates :title, length: { maximum: MAX_TITLE_LENGTH }

  scope :newest_first, -> { order(id: :desc) }

  private

  def normalize_url
    self.url = url.to_s.strip
    self.url = parsed_url.normalize.to_s if parsed_url
  end

  def url_is_http_with_host
    errors.add(:url, "must be an http or https URL with a host") unless parsed_url
  end

  # The parsed URI, or nil if it is not valid for a link.
  def parsed_url
    return if url.length > MAX_URL_LENGTH

    uri = URI.parse(url)
    uri if uri.is_a?(URI::HTTP) && uri.host.present?
  rescue URI::InvalidURIError
    nil
  end
end
