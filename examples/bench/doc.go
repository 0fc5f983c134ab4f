// Package bench compares Latchkey's throughput with that of the bare SDK, on
// one real server.
package bench
