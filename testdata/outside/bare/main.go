// Command bare imports only Temporal's client, for comparison.
package main

import "go.temporal.io/sdk/client"

func main() {
	if c, err := client.Dial(client.Options{}); err == nil {
		c.Close()
	}
}
