package main

import (
	"context"
	"crypto/subtle"
	"log/slog"
	"net/http"
	"strings"

	"github.com/latchkey-go/latchkey/async"
	"github.com/latchkey-go/latchkey/web/answer"
	"github.com/latchkey-go/latchkey/web/board"
)

// mount serves the board of a hub below /ops/. mount accepts a token, as a
// bearer token or as the password that a browser asks for. In production, use
// the sign-in of your other pages.
func mount(hub *async.Hub, token string) (http.Handler, error) {
	typ, err := answer.For[Answer](answer.TypeOptions{})
	if err != nil {
		return nil, err
	}
	b, err := board.New(hub, board.Options{
		Types: []answer.Type{typ},
		Authorize: func(_ context.Context, r *http.Request, _ board.Action, _ async.Callback) (string, error) {
			name, given, ok := r.BasicAuth()
			if !ok {
				name, given = "command line", strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
			}
			if subtle.ConstantTimeCompare([]byte(given), []byte(token)) != 1 {
				return "", board.ErrSignIn
			}
			return name, nil
		},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/ops/", http.StripPrefix("/ops", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			w.Header().Set("WWW-Authenticate", `Basic realm="board"`)
		}
		b.ServeHTTP(w, r)
	})))
	return mux, nil
}
