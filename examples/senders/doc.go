// Package senders holds tests of Latchkey's web packages that need what is too
// heavy for the root module: the senders' own libraries, and a browser.
package senders
