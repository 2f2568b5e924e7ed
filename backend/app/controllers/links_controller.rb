# Saved links: list (newest first, in pages), show, create, delete.
class LinksController < ApplicationController
  rescue_from Page::Invalid do |e|
    render_error :bad_request, e.message
  end

  def index
    page = Page.new(number: params[:page], size: params[:per_page])
    links = page.of(Link.newest_first)
    render json: { links: links.map { |link| body(link) }, page: page.number, per_page: page.size, total: Link.count }
  end

  def show
    render json: body(Link.find(params[:id]))
  end

  def create
    link = Link.new(link_params)
    if link.save
      render json: body(link), status: :created, location: link_url(link)
    else
      render_invalid link
    end
  rescue ActiveRecord::RecordNotUnique
    # Another request saved the same URL between validation and insert.
    link.errors.add(:url, :taken)
    render_invalid link
  end

  def destroy
    Link.find(params[:id]).destroy!
    head :no_content
  end

  private

  def link_params
    given = params.require(:link)
    raise ActionController::BadRequest, "link must be an object" unless given.is_a?(ActionController::Parameters)

    given.permit(:url, :title)
  end

  def body(link)
    link.slice(:id, :url, :title, :created_at)
  end

  def render_invalid(link)
    render_error :unprocessable_entity, "The link is not valid", details: link.errors.messages
  end
end
