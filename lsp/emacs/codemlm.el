;;; codemlm.el --- Tokens that are probably not what you meant  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: Apache-2.0
;; Version: 0.1.0
;; Package-Requires: ((emacs "26.1") (eglot "1.9"))
;; Keywords: languages, tools

;;; Commentary:

;; Makes Eglot use codemlm's language server for Python:
;;
;;     (add-to-list 'load-path "/path/to/this/folder")
;;     (require 'codemlm)
;;     (codemlm-setup)
;;     (add-hook 'python-mode-hook #'eglot-ensure)
;;
;; Eglot talks with one server in a buffer: codemlm then takes the place of another one.

;;; Code:

(require 'eglot)
(require 'jsonrpc)

(defgroup codemlm nil
  "Tokens that are probably not what you meant."
  :group 'tools)

(defcustom codemlm-command '("codemlm" "server")
  "The command that starts the server."
  :type '(repeat string))

(defcustom codemlm-settings nil
  "What the server is told at its start, above codemlm.toml: a property list.
For example (:minConfidence 0.6 :codeLens t).  A list is a vector here, and
false is :json-false.  To change settings of a running server, or of one
project, set `eglot-workspace-configuration' to (:codemlm (:minConfidence 0.6))."
  :type 'plist)

(defun codemlm--contact (&rest _)
  "The command, and the settings for the server's start."
  (append codemlm-command
          (and codemlm-settings
               (list :initializationOptions codemlm-settings))))

;;;###autoload
(defun codemlm-setup ()
  "Make Eglot use codemlm for Python."
  (interactive)
  (add-to-list 'eglot-server-programs
               (cons '(python-mode python-ts-mode) #'codemlm--contact)))

(defun codemlm--execute (command &rest arguments)
  "The answer of the buffer's server to COMMAND with ARGUMENTS."
  (let ((server (or (eglot-current-server)
                    (user-error "No language server here; try `M-x eglot'"))))
    (jsonrpc-request server :workspace/executeCommand
                     (list :command command :arguments (vconcat arguments))
                     :timeout 600)))

(defun codemlm-scan-workspace ()
  "Scan all files of the project, and show how much was found."
  (interactive)
  (let ((counts (codemlm--execute "codemlm.scanWorkspace")))
    (message "codemlm: %s findings in %s files"
             (plist-get counts :findings) (plist-get counts :files))))

(defun codemlm-explain ()
  "Show why there is a finding at point, or why there is none."
  (interactive)
  (let* ((place (eglot--TextDocumentPositionParams))
         (position (plist-get place :position))
         (page (codemlm--execute "codemlm.explain"
                                 nil    ; whatever is found there
                                 (plist-get (plist-get place :textDocument) :uri)
                                 (plist-get position :line)
                                 (plist-get position :character)
                                 :json-false))) ; it is shown here
    (when page
      (with-help-window "*codemlm*"
        (princ page)))))

(defun codemlm-restart ()
  "Make the server read its model again, and scan everything anew."
  (interactive)
  (codemlm--execute "codemlm.restart"))

(defun codemlm-show-model ()
  "Show where the model comes from, and its figures."
  (interactive)
  (codemlm--execute "codemlm.showModel"))

(defun codemlm-toggle-heat-map ()
  "Show or hide how likely doubtful tokens are; needs `eglot-inlay-hints-mode'."
  (interactive)
  (message "codemlm: heat map %s"
           (if (eq t (codemlm--execute "codemlm.toggleHeatMap")) "on" "off")))

(provide 'codemlm)
;;; codemlm.el ends here
