-- nvim --headless --clean -u lsp/nvim/check.lua
-- Opens a file with a planted bug, waits for the diagnostic, hovers, applies the code action, and
-- checks that the buffer is mended.
local PATIENCE_MS = 120000
local here = vim.fn.fnamemodify(debug.getinfo(1, "S").source:sub(2), ":p:h")

local function say(text)
  io.stdout:write(text .. "\n")
end

local function check(found, text)
  say((found and "ok    " or "FAILED ") .. text)
  if not found then
    vim.cmd("cquit 1")
  end
end

local function run()
  local folder = vim.fn.tempname()
  vim.fn.mkdir(folder, "p")
  local path = folder .. "/area.py"
  -- The emoji tells whether columns are counted alike on both sides.
  vim.fn.writefile({ "def area(length, width):", '    return "😀", lenght * width' }, path)
  vim.cmd.edit(path)
  vim.bo.filetype = "python"

  local config = dofile(here .. "/lsp/codemlm.lua")
  config.name, config.root_dir = "codemlm", folder
  if vim.env.CODEMLM_SERVER then
    config.cmd = vim.split(vim.env.CODEMLM_SERVER, " ", { trimempty = true })
  end
  local capabilities = vim.lsp.protocol.make_client_capabilities()
  config.capabilities = vim.tbl_deep_extend("force", capabilities, config.capabilities)
  local id = vim.lsp.start(config)
  check(id ~= nil, "the server starts")

  vim.wait(PATIENCE_MS, function()
    return #vim.diagnostic.get(0) > 0
  end, 20)
  local found = vim.diagnostic.get(0)
  check(#found == 1, "one diagnostic: " .. (found[1] and found[1].message or "none"))
  check(found[1].code == "CM201" and found[1].lnum == 1, "its rule and its line")
  local line = vim.api.nvim_buf_get_lines(0, 1, 2, false)[1]
  check(line:sub(found[1].col + 1, found[1].end_col) == "lenght", "it covers the leaf")

  vim.api.nvim_win_set_cursor(0, { 2, found[1].col })
  local client = vim.lsp.get_client_by_id(id)
  say("      position encoding: " .. client.offset_encoding)
  local params = vim.lsp.util.make_position_params(0, client.offset_encoding)
  local hover = vim.lsp.buf_request_sync(0, "textDocument/hover", params, PATIENCE_MS)
  local text = hover and hover[id] and hover[id].result and hover[id].result.contents.value or ""
  check(text:find("undefined-name", 1, true) ~= nil, "the hover explains it")

  vim.lsp.buf.code_action({
    apply = true,
    filter = function(action)
      return action.title:find("with `length`", 1, true) ~= nil
    end,
  })
  vim.wait(PATIENCE_MS, function()
    return vim.api.nvim_buf_get_lines(0, 1, 2, false)[1] == '    return "😀", length * width'
  end, 20)
  line = vim.api.nvim_buf_get_lines(0, 1, 2, false)[1]
  check(line == '    return "😀", length * width', "the code action mends the buffer: " .. line)
  vim.wait(PATIENCE_MS, function()
    return #vim.diagnostic.get(0) == 0
  end, 20)
  check(#vim.diagnostic.get(0) == 0, "the diagnostic is gone")
  vim.cmd("qall!")
end

vim.api.nvim_create_autocmd("VimEnter", {
  callback = function()
    local fine, trouble = pcall(run)
    if not fine then
      check(false, tostring(trouble))
    end
  end,
})
