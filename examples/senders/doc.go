// Package senders tests Latchkey's web packages with a browser and with the
// libraries of third-party senders. The root module does not depend on these.
package senders
