package inbox

import (
	"context"
	"embed"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/web/answer"
)

//go:embed style.css templates
var files embed.FS

// guarding contains the headers of every response. With "same-origin", other
// sites do not get the address of a link, and browsers still send the Origin of
// a form.
var guarding = http.Header{
	"Cache-Control":           {"no-store"},
	"Content-Security-Policy": {"default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"},
	"Referrer-Policy":         {"same-origin"},
	"X-Content-Type-Options":  {"nosniff"},
	"X-Robots-Tag":            {"noindex, nofollow"},
}

// routes returns the routes in the doc comment of Inbox. A GET route also
// serves HEAD.
func (x *Inbox) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=3600")
		http.ServeFileFS(w, r, files, "style.css")
	})
	if x.o.Identify != nil {
		mux.HandleFunc("GET /{$}", x.signedIn(x.list))
		mux.HandleFunc("GET /i/{item}", x.signedIn(x.look))
		mux.HandleFunc("POST /i/{item}", x.signedIn(x.decide))
	}
	if x.o.Links != nil {
		mux.HandleFunc("GET /l/{token}", x.lookByLink)
		mux.HandleFunc("POST /l/{token}", x.decideByLink)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		x.message(w, r, Person{}, async.ErrNotFound)
	})
	return mux
}

// ServeHTTP answers a request.
func (x *Inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	maps.Copy(w.Header(), guarding)
	if x.crossOrigin.Check(r) != nil {
		x.show(w, http.StatusForbidden, "message", messageView{page: page{Root: root(r), Title: "Nothing was changed"}, Text: "The form was on another site, so nothing was changed."})
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	ctx, cancel := context.WithTimeout(r.Context(), x.o.Wait)
	if r.Method == http.MethodPost { // a person who leaves has still answered
		cancel()
		ctx, cancel = context.WithTimeout(context.WithoutCancel(r.Context()), x.o.Wait)
	}
	defer cancel()
	x.mux.ServeHTTP(w, r.WithContext(ctx))
}

// byPerson reports whether, according to the browser, a person sent the form. A
// scanner that runs scripts can submit a form, as a page of this site would.
// The scanner's request lacks the header Sec-Fetch-User. Chromium and Firefox
// send this header, and Safari does not. Browsers send the Sec-Fetch headers
// only over HTTPS or to the same machine.
func byPerson(h http.Header) bool {
	mode, agent := h.Get("Sec-Fetch-Mode"), h.Get("User-Agent")
	switch {
	case mode == "":
		return true // the client is not a browser, is an old browser, or uses no HTTPS: the form itself requires typed text
	case mode != "navigate":
		return false // a script
	case h.Get("Sec-Fetch-User") == "?1":
		return true
	default:
		return strings.Contains(agent, "Safari/") && !strings.Contains(agent, "Chrome/") && !strings.Contains(agent, "Chromium/")
	}
}

var errSignedOut = errors.New("inbox: Options.Identify returned an error, or a person without an ID")

// signedIn calls a handler with the person who made the request.
func (x *Inbox) signedIn(serve func(w http.ResponseWriter, r *http.Request, p Person)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		seen := &seenWriter{ResponseWriter: w}
		p, err := x.o.Identify(seen, r)
		switch problem := checkWho(p.ID); {
		case err != nil && seen.wrote:
			return
		case err == nil && problem != "":
			x.log.WarnContext(r.Context(), "inbox: Identify returned a person whose ID is invalid", slog.String("problem", problem))
			fallthrough
		case err != nil:
			x.message(w, r, Person{}, errSignedOut)
			return
		}
		p.Link = false
		serve(w, r, p)
	}
}

// seenWriter records whether a response has begun.
type seenWriter struct {
	http.ResponseWriter
	wrote bool
}

func (w *seenWriter) WriteHeader(status int) {
	w.wrote = true
	w.ResponseWriter.WriteHeader(status)
}

func (w *seenWriter) Write(b []byte) (int, error) {
	w.wrote = true
	return w.ResponseWriter.Write(b)
}

func (w *seenWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// look shows a request.
func (x *Inbox) look(w http.ResponseWriter, r *http.Request, p Person) {
	c, err := x.openItem(r.Context(), r.PathValue("item"))
	x.lookAt(w, r, c, p, err)
}

// lookByLink shows a request to the holder of a link.
func (x *Inbox) lookByLink(w http.ResponseWriter, r *http.Request) {
	c, p, err := x.openLink(r.Context(), r.PathValue("token"))
	x.lookAt(w, r, c, p, err)
}

// lookAt shows the opened request, if the person may see it. Only then does
// lookAt ask Temporal, so that the page shows a requested cancellation.
func (x *Inbox) lookAt(w http.ResponseWriter, r *http.Request, c async.Callback, p Person, err error) {
	if err == nil {
		j := read(c.Notes())
		err = j.allows(p, look, nil, x.may(r.Context(), c, p, j))
	}
	if err != nil {
		x.message(w, r, p, err)
		return
	}
	if now, err := c.Refresh(r.Context()); err == nil { // otherwise the page shows the state in the store
		c = now
	}
	x.request(w, r, c, p, sent{done: r.URL.Query().Get("done")})
}

func (x *Inbox) decide(w http.ResponseWriter, r *http.Request, p Person) {
	c, err := x.openItem(r.Context(), r.PathValue("item"))
	if err != nil {
		x.message(w, r, p, err)
		return
	}
	if isJSONBody(r) {
		x.decideJSON(w, r, c, p)
		return
	}
	x.decideForm(w, r, c, p)
}

func (x *Inbox) decideByLink(w http.ResponseWriter, r *http.Request) {
	c, p, err := x.openLink(r.Context(), r.PathValue("token"))
	if err != nil {
		x.message(w, r, p, err)
		return
	}
	x.decideForm(w, r, c, p)
}

// decideForm performs the action of a submitted form. A refused form is shown
// again, with its typed text.
func (x *Inbox) decideForm(w http.ResponseWriter, r *http.Request, c async.Callback, p Person) {
	form, err := formOf(r)
	s := sent{form: form, err: err}
	if err == nil {
		s.in, s.err = x.inputOf(c, &p, form)
	}
	switch {
	case s.err == nil && !byPerson(r.Header):
		s.err = errNotByPerson
	case s.err == nil:
		_, s.err = x.act(r.Context(), c, p, s.in)
	}
	if s.err == nil {
		// relative, because the inbox does not know where it is mounted
		w.Header().Set("Location", url.PathEscape(r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:])+"?done="+url.QueryEscape(string(s.in.do)))
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	if now, err := x.hub.Find(r.Context(), c.Info().ID); err == nil && now.ID() == c.ID() {
		c = now
	}
	x.request(w, r, c, p, s)
}

// errNotByPerson means that a script sent the form.
var errNotByPerson = refuse("not-by-person", "Please press the button yourself: the form came without a click or a key.")

// inputOf reads a form. A form of a link must contain the typed name of the
// person.
func (x *Inbox) inputOf(c async.Callback, p *Person, form url.Values) (input, error) {
	f, err := x.formOf(c)
	if err != nil {
		return input{}, err
	}
	in, err := f.input(form)
	if !p.Link {
		return in, err
	}
	p.Name = strings.TrimSpace(form.Get(fieldName))
	detail := checkText(p.Name, maxName, false)
	if p.Name == "" {
		detail = "is required"
	}
	if detail != "" {
		err = answer.Join(append(answer.Invalids(err), answer.Invalid{Pointer: "/" + fieldName, Detail: detail}))
	}
	return in, err
}

// formOf reads a form from a body. The query has no effect.
func formOf(r *http.Request) (url.Values, error) {
	if mediaType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); !strings.EqualFold(strings.TrimSpace(mediaType), "application/x-www-form-urlencoded") {
		return nil, answer.ErrMediaType
	}
	if err := r.ParseForm(); err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			return nil, err
		}
		return nil, answer.Join([]answer.Invalid{{Detail: "must be a form as browsers send it"}})
	}
	return r.PostForm, nil
}
