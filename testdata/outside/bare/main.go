// Command bare imports only Temporal's client. TestOutsideModule compares its
// dependencies with those of command expenses.
package main

import "go.temporal.io/sdk/client"

func main() {
	if c, err := client.Dial(client.Options{}); err == nil {
		c.Close()
	}
}
