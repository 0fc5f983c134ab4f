// Package senders tests Latchkey's web packages with the libraries of third-party
// senders and with a browser, which the root module does not depend on.
package senders
