package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

//go:embed page.html style.css
var files embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{"link": link}).ParseFS(files, "page.html"))

// link returns the path of an expense's page. Anyone who has it can answer.
func link(id string) string { return "/expense/" + url.PathEscape(id) }

// Page is the web page. It has no accounts, because it is a demo on one machine.
// The callback ID in a link authorizes an answer.
type Page struct{ desk *Desk }

// NewPage returns the page of a desk.
func NewPage(d *Desk) http.Handler {
	p := &Page{desk: d}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.list)
	mux.HandleFunc("GET /expense/{id}", p.one)
	mux.HandleFunc("POST /expense/{id}", p.decide) // only a POST decides: mail scanners and previews follow links
	mux.HandleFunc("GET /new", p.form)
	mux.HandleFunc("POST /new", p.file)
	mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, files, "style.css")
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		p.trouble(w, http.StatusNotFound, "There is no such page.")
	})

	sameOrigin := http.NewCrossOriginProtection()
	sameOrigin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.trouble(w, http.StatusForbidden, "The form was on another site, so nothing was done.")
	}))
	return p.guard(sameOrigin.Handler(mux))
}

// guard sets the headers of all responses. It refuses requests for another host
// name: if another site's name resolved to this machine, that site would count as
// the same origin.
func (p *Page) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		if !isLoopback(r.Host) {
			p.trouble(w, http.StatusForbidden, "This page can be used only on the machine that it runs on.")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
		next.ServeHTTP(w, r)
	})
}

func (p *Page) list(w http.ResponseWriter, r *http.Request) {
	items, err := p.desk.List(r.Context())
	v := listView{Filed: r.URL.Query().Has("filed"), Incomplete: err != nil}
	for _, item := range items {
		if item.Waits() {
			v.Waiting = append(v.Waiting, item)
		} else {
			v.Decided = append(v.Decided, item)
		}
	}
	slices.SortStableFunc(v.Decided, func(a, b Item) int { return b.Info.Settled.Compare(a.Info.Settled) })
	p.show(w, http.StatusOK, "list", v)
}

type listView struct {
	Waiting, Decided []Item
	Filed            bool // something was filed just now
	Incomplete       bool // the list is incomplete
}

func (p *Page) one(w http.ResponseWriter, r *http.Request) {
	item, err := p.desk.Look(r.Context(), r.PathValue("id"))
	if err != nil {
		status, text := explain(err)
		p.trouble(w, status, text)
		return
	}
	p.show(w, http.StatusOK, "one", item)
}

func (p *Page) decide(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	answer := r.PostFormValue("answer")
	d := Decision{
		Approved: answer == "approve",
		By:       strings.TrimSpace(r.PostFormValue("by")),
		Reason:   strings.TrimSpace(r.PostFormValue("reason")),
	}
	if answer != "approve" && answer != "reject" {
		p.trouble(w, http.StatusUnprocessableEntity, "The answer must be approve or reject.")
		return
	}
	if err := d.Validate(); err != nil {
		p.trouble(w, http.StatusUnprocessableEntity, "Nothing was decided: "+err.Error()+".")
		return
	}
	// A person who leaves after the click has decided.
	if err := p.desk.Decide(context.WithoutCancel(r.Context()), id, d); err != nil {
		status, text := explain(err)
		p.trouble(w, status, text)
		return
	}
	to := link(id)
	if r.PostFormValue("from") == "list" {
		to = "/"
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func (p *Page) form(w http.ResponseWriter, _ *http.Request) {
	p.show(w, http.StatusOK, "new", nil)
}

func (p *Page) file(w http.ResponseWriter, r *http.Request) {
	e := Expense{
		Employee: strings.TrimSpace(r.PostFormValue("employee")),
		Purpose:  strings.TrimSpace(r.PostFormValue("purpose")),
	}
	var err error
	e.Cents, err = parseCents(r.PostFormValue("amount"))
	if err == nil && (!short(e.Employee) || !short(e.Purpose)) {
		err = errors.New("who and what for take 1 to 80 characters each")
	}
	if err != nil {
		p.trouble(w, http.StatusUnprocessableEntity, "Nothing was filed: "+err.Error()+".")
		return
	}
	if _, err := p.desk.File(r.Context(), e); err != nil {
		p.trouble(w, http.StatusServiceUnavailable, "Temporal cannot be reached. It is not known whether the expense was filed.")
		return
	}
	http.Redirect(w, r, "/?filed=1", http.StatusSeeOther)
}

func short(s string) bool {
	n := utf8.RuneCountInString(s)
	return utf8.ValidString(s) && n > 0 && n <= 80
}

func (p *Page) trouble(w http.ResponseWriter, status int, text string) {
	p.show(w, status, "trouble", text)
}

// show renders a response completely before it sends it, so that no page is cut
// off.
func (p *Page) show(w http.ResponseWriter, status int, name string, data any) {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, data); err != nil {
		http.Error(w, "The page can't be shown.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // the browser may have gone
}
