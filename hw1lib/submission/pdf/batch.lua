-- Markdown to HTML for a whole notebook in one process: a JSON list of texts in, one of HTML out.
local format = 'commonmark+pipe_tables+strikeout+task_lists+autolink_bare_uris+raw_html'
local options = pandoc.WriterOptions { wrap_text = 'preserve', highlight_method = 'none' }
local pages = {}
for i, text in ipairs(pandoc.json.decode(io.read('a'), false)) do
  -- Without a line end after it, a table at a text's end loses its last row.
  pages[i] = pandoc.write(pandoc.read(text .. '\n', format), 'html', options)
end
print(pandoc.json.encode(pages))
