package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/latchkey-go/latchkey/web/inbox"
)

// provider is a stub of an identity provider: it believes what people say about
// themselves. A real application uses its own sign-in instead.
type provider struct{ key []byte }

// newProvider returns a provider whose sign-ins end with the process.
func newProvider() *provider {
	p := &provider{key: make([]byte, 32)}
	_, _ = rand.Read(p.key) // it never fails
	return p
}

const sessionCookie = "approval_session"

// Identify implements inbox.Options.Identify: it returns the signed-in person,
// or redirects to the sign-in page.
func (p *provider) Identify(w http.ResponseWriter, r *http.Request) (inbox.Person, error) {
	if cookie, err := r.Cookie(sessionCookie); err == nil {
		if id, ok := p.verify(cookie.Value); ok {
			if who, err := find(r.Context(), id); err == nil {
				return who, nil
			}
		}
	}
	http.Redirect(w, r, "/sign-in?to="+url.QueryEscape(r.RequestURI), http.StatusSeeOther)
	return inbox.Person{}, errors.New("not signed in")
}

// signIn handles a person's choice on the sign-in page.
func (p *provider) signIn(w http.ResponseWriter, r *http.Request) {
	who, err := find(r.Context(), r.PostFormValue("person"))
	if err != nil {
		show(w, http.StatusForbidden, "message", view{Title: "Sign in", Text: "This person is not known here."})
		return
	}
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: p.sign(who.ID), Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, local(r.PostFormValue("to")), http.StatusSeeOther)
}

func (p *provider) signOut(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Path: "/", MaxAge: -1})
	http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
}

// sign returns the value of a cookie: an ID with a proof that the provider made
// it.
func (p *provider) sign(id string) string {
	return encode([]byte(id)) + "." + encode(p.mac(id))
}

func (p *provider) verify(value string) (id string, ok bool) {
	name, proof, _ := strings.Cut(value, ".")
	b, err := base64.RawURLEncoding.DecodeString(name)
	mac, macErr := base64.RawURLEncoding.DecodeString(proof)
	return string(b), err == nil && macErr == nil && hmac.Equal(mac, p.mac(string(b)))
}

func (p *provider) mac(id string) []byte {
	h := hmac.New(sha256.New, p.key)
	h.Write([]byte(id))
	return h.Sum(nil)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// local returns the given address if it belongs to this site, and otherwise the
// start page.
func local(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.Contains(to, `\`) {
		return "/inbox/"
	}
	return to
}
