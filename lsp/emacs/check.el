;;; check.el --- Drives Emacs with codemlm, without a window  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;;     emacs --batch -l lsp/emacs/check.el
;;
;; Opens a file with a planted bug, waits for the diagnostic, runs the code
;; action, and checks that the buffer is mended.  CODEMLM_SERVER may hold
;; another command that starts the server, its words apart by spaces.

;;; Code:

(require 'cl-lib)
(unless (locate-library "eglot")
  (package-initialize))
(add-to-list 'load-path (file-name-directory load-file-name))
(require 'codemlm)
(require 'flymake)

(defvar check-patience 120 "Seconds; only a server that hangs takes so long.")

(defun check (found text &rest arguments)
  "Print TEXT with ARGUMENTS; end Emacs unless FOUND."
  (princ (concat (if found "ok    " "FAILED ") (apply #'format text arguments) "\n"))
  (unless found (kill-emacs 1)))

(defun check-until (condition)
  "Handle messages of the server until CONDITION returns non-nil; return that."
  (let ((end (+ (float-time) check-patience)) result)
    (while (and (not (setq result (funcall condition)))
                (< (float-time) end))
      (accept-process-output nil 0.05))
    result))

(let* ((folder (make-temp-file "codemlm-" t))
       (path (expand-file-name "area.py" folder))
       (coding-system-for-write 'utf-8)
       (python-indent-guess-indent-offset nil)
       (eglot-autoshutdown t)
       (eglot-connect-timeout check-patience)
       (eglot-sync-connect check-patience)
       (jsonrpc-default-request-timeout check-patience)
       (given (getenv "CODEMLM_SERVER")))
  (when given
    (setq codemlm-command (split-string given)))
  (codemlm-setup)
  ;; The emoji tells whether columns are counted alike on both sides.
  (write-region "def area(length, width):\n    return \"😀\", lenght * width\n" nil path)
  (with-current-buffer (find-file-noselect path)
    (call-interactively #'eglot)
    (check (eglot-current-server) "the server starts")
    (flymake-start)                     ; waits for a command otherwise, which never comes
    (check-until #'flymake-diagnostics)
    (let* ((found (flymake-diagnostics))
           (first (car found)))
      (check (= 1 (length found)) "one diagnostic: %s" (and first (flymake-diagnostic-text first)))
      (check (equal "lenght" (buffer-substring (flymake-diagnostic-beg first)
                                               (flymake-diagnostic-end first)))
             "it covers the leaf")
      (goto-char (flymake-diagnostic-beg first))
      (let* ((hover (jsonrpc-request (eglot-current-server) :textDocument/hover
                                     (eglot--TextDocumentPositionParams)))
             (text (plist-get (plist-get hover :contents) :value)))
        (check (string-match-p "undefined-name" text) "the hover explains it"))
      (codemlm-explain)
      (check (with-current-buffer "*codemlm*"
               (goto-char (point-min))
               (search-forward "# `lenght` in area.py, line 2" nil t))
             "the finding is explained")
      (cl-letf (((symbol-function 'completing-read)
                 (lambda (_prompt choices &rest _)
                   (cl-find-if (lambda (title) (string-match-p "with `length`" title))
                               (mapcar #'car choices))))
                (last-nonmenu-event t))     ; as from the keyboard
        (eglot-code-actions (flymake-diagnostic-beg first) (flymake-diagnostic-end first)
                            "quickfix" t))
      (goto-char (point-min))
      (check (search-forward "    return \"😀\", length * width" nil t)
             "the code action mends the buffer: %s"
             (string-trim (thing-at-point 'line)))
      ;; Eglot sends a change when Emacs is idle, which it never is here.
      (eglot--signal-textDocument/didChange)
      (check (check-until (lambda () (null (flymake-diagnostics)))) "the diagnostic is gone"))
    (set-buffer-modified-p nil))
  (delete-directory folder t)
  (kill-emacs 0))

;;; check.el ends here
