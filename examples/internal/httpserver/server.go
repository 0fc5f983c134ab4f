// Package httpserver has the HTTP server of the examples, with limits on the
// duration and size of requests.
package httpserver

import (
	"net/http"
	"time"
)

// MaxBody is the largest body of a request, in bytes.
const MaxBody = 64 << 10

// New returns a server that ends requests that arrive too slowly, and refuses
// bodies over MaxBody.
func New(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           http.MaxBytesHandler(h, MaxBody),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
}
