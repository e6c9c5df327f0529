-- nvim --headless --clean -u lsp/nvim/check.lua
-- Opens a file with a planted bug, waits for the diagnostic, hovers, has it explained, applies the
-- code action, and checks that the buffer is mended. The server is started as README.md says: by `vim.lsp.enable`,
-- or before Neovim 0.11 (and with CODEMLM_CHECK=start) by `vim.lsp.start`.
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

local function wait(condition)
  vim.wait(PATIENCE_MS, condition, 20)
end

-- Makes Neovim start the server for Python files.
local function enable()
  local command = vim.env.CODEMLM_SERVER
  local words = command and vim.split(command, " ", { trimempty = true })
  if vim.lsp.enable and vim.env.CODEMLM_CHECK ~= "start" then
    vim.opt.runtimepath:append(here)
    if words then
      vim.lsp.config("codemlm", { cmd = words })
    end
    vim.lsp.enable("codemlm")
    return
  end
  local config = dofile(here .. "/lsp/codemlm.lua")
  config.cmd = words or config.cmd
  config.name = "codemlm"
  local capabilities = vim.lsp.protocol.make_client_capabilities()
  config.capabilities = vim.tbl_deep_extend("force", capabilities, config.capabilities)
  vim.api.nvim_create_autocmd("FileType", {
    pattern = config.filetypes,
    callback = function(event)
      local marks = { upward = true, path = event.file }
      config.root_dir = vim.fs.dirname(vim.fs.find(config.root_markers, marks)[1])
      vim.lsp.start(config)
    end,
  })
end

local function clients()
  return (vim.lsp.get_clients or vim.lsp.get_active_clients)({ name = "codemlm" })
end

local function run()
  enable()
  local folder = vim.fn.tempname()
  vim.fn.mkdir(folder, "p")
  vim.fn.writefile({}, folder .. "/codemlm.toml")
  local path = folder .. "/area.py"
  -- The emoji tells whether columns are counted alike on both sides.
  vim.fn.writefile({ "def area(length, width):", '    return "😀", lenght * width' }, path)
  vim.cmd.edit(path)
  vim.bo.filetype = "python"
  wait(function()
    return #clients() == 1 and clients()[1].initialized
  end)
  local client = clients()[1]
  check(client ~= nil, "the server starts")
  check(vim.fs.normalize(client.config.root_dir) == vim.fs.normalize(folder), "in the project")

  wait(function()
    return #vim.diagnostic.get(0) > 0
  end)
  local found = vim.diagnostic.get(0)
  check(#found == 1, "one diagnostic: " .. (found[1] and found[1].message or "none"))
  check(found[1].code == "CM201" and found[1].lnum == 1, "its rule and its line")
  local line = vim.api.nvim_buf_get_lines(0, 1, 2, false)[1]
  check(line:sub(found[1].col + 1, found[1].end_col) == "lenght", "it covers the leaf")

  vim.api.nvim_win_set_cursor(0, { 2, found[1].col })
  say("      position encoding: " .. client.offset_encoding)
  local params = vim.lsp.util.make_position_params(0, client.offset_encoding)
  local hover = vim.lsp.buf_request_sync(0, "textDocument/hover", params, PATIENCE_MS)
  local answer = hover and hover[client.id] and hover[client.id].result
  local text = answer and answer.contents.value or ""
  check(text:find("undefined-name", 1, true) ~= nil, "the hover explains it")

  local function apply(title)
    vim.lsp.buf.code_action({
      apply = true,
      filter = function(action)
        return action.title:find(title, 1, true) ~= nil
      end,
    })
  end

  local buffer = vim.api.nvim_get_current_buf()
  apply("Explain CM201 here")
  local function page()
    return vim.api.nvim_buf_get_lines(0, 0, 1, false)[1]
  end
  wait(function()
    return page():find("# `lenght` in area.py, line 2", 1, true) ~= nil
  end)
  check(page():find("# `lenght`", 1, true) ~= nil, "the finding is explained: " .. page())
  vim.api.nvim_set_current_buf(buffer)
  vim.api.nvim_win_set_cursor(0, { 2, found[1].col })

  apply("with `length`")
  local mended = '    return "😀", length * width'
  wait(function()
    line = vim.api.nvim_buf_get_lines(0, 1, 2, false)[1]
    return line == mended
  end)
  check(line == mended, "the code action mends the buffer: " .. line)
  wait(function()
    return #vim.diagnostic.get(0) == 0
  end)
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
