package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"html/template"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/latchkey-go/latchkey/web/inbox"
)

//go:embed header.html pages.html
var files embed.FS

var (
	header = template.Must(template.ParseFS(files, "header.html")) // the inbox uses the header too
	pages  = template.Must(template.ParseFS(files, "header.html", "pages.html"))
)

// view is the data of a page. The header uses the fields Title and Person, as
// in the pages of the inbox.
type view struct {
	Title   string
	Person  inbox.Person
	Text    string
	To      string // the address that follows the sign-in
	Company []member
}

// newPages returns the site: the inbox, a sign-in, and a page to file an expense.
func newPages(box http.Handler, p *provider, file func(ctx context.Context, e Expense) error) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/inbox/", http.StripPrefix("/inbox", box))
	mux.HandleFunc("GET /sign-in", func(w http.ResponseWriter, r *http.Request) {
		show(w, http.StatusOK, "sign-in", view{Title: "Sign in", To: local(r.FormValue("to")), Company: company})
	})
	mux.HandleFunc("POST /sign-in", p.signIn)
	mux.HandleFunc("POST /sign-out", p.signOut)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		who, err := p.Identify(w, r)
		if err != nil {
			return
		}
		v := view{Title: "File an expense", Person: who}
		if r.URL.Query().Has("filed") {
			v.Text = "The expense is filed. You get a mail when it is decided."
		}
		show(w, http.StatusOK, "file", v)
	})
	mux.HandleFunc("POST /{$}", func(w http.ResponseWriter, r *http.Request) {
		who, err := p.Identify(w, r)
		if err != nil {
			return
		}
		e, err := expenseOf(r, who)
		if err != nil {
			show(w, http.StatusUnprocessableEntity, "message", view{Title: "File an expense", Person: who, Text: "Nothing was filed: " + err.Error() + "."})
			return
		}
		if err := file(r.Context(), e); err != nil {
			show(w, http.StatusServiceUnavailable, "message", view{Title: "File an expense", Person: who, Text: "Temporal can't be reached. It is not known whether the expense was filed."})
			return
		}
		http.Redirect(w, r, "/?filed", http.StatusSeeOther)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		show(w, http.StatusNotFound, "message", view{Title: "Not found", Text: "There is no such page."})
	})
	return guard(http.NewCrossOriginProtection().Handler(mux))
}

// guard sets the headers of all responses. guard refuses requests with a host
// name other than this machine's. An attacker's host name that resolves to this
// machine would otherwise count as the same origin.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		if !isLoopback(r.Host) {
			show(w, http.StatusForbidden, "message", view{Title: "Forbidden", Text: "This page is for the machine that it runs on."})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, 256<<10)
		next.ServeHTTP(w, r)
	})
}

// expenseOf reads the form of an expense. The signed-in person files the
// expense, whatever the form says.
func expenseOf(r *http.Request, who inbox.Person) (e Expense, err error) {
	e = Expense{Employee: who.ID, Name: who.Name, Purpose: strings.TrimSpace(r.PostFormValue("purpose"))}
	e.Cents, err = parseCents(r.PostFormValue("amount"))
	if n := utf8.RuneCountInString(e.Purpose); err == nil && (n < 1 || n > 80 || !utf8.ValidString(e.Purpose)) {
		err = errors.New("the purpose must have 1 to 80 characters")
	}
	return e, err
}

// show renders a complete page before it writes it, so that no page is cut off.
func show(w http.ResponseWriter, status int, name string, v view) {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, v); err != nil {
		http.Error(w, "The page can't be shown.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // the browser may be gone
}
