// Package bench measures Latchkey beside the bare SDK, on one real server.
package bench
