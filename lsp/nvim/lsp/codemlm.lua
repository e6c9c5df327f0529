-- Neovim 0.11 and later: copy this file to ~/.config/nvim/lsp/ (or put this folder on
-- 'runtimepath'), and add `vim.lsp.enable("codemlm")` to init.lua.
-- Neovim 0.9 and 0.10: see README.md beside this folder.
return {
  cmd = { "codemlm", "server" },
  filetypes = { "python" },
  root_markers = { "codemlm.toml", "pyproject.toml", ".git" },
  init_options = vim.empty_dict(), -- or settings, such as { minConfidence = 0.6, codeLens = true }
  -- Positions as Neovim has them: bytes.
  capabilities = { general = { positionEncodings = { "utf-8", "utf-16", "utf-32" } } },
}
