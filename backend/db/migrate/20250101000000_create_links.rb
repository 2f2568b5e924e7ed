class CreateLinks < ActiveRecord::Migration[6.1]
  def change
    create_table :links do |t|
      t.string :url, null: false, limit: 2048, index: { unique: true }
      t.string :title, limit: 255

      t.timestamps
    end
  end
end
