// Quickstart keeps three conversations on three targets, then takes one target
// away and gives it back.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/balance"
	"github.com/go-affinity/affinity/extract"
)

func main() {
	sel, err := affinity.New(affinity.Config[string]{
		ID:       func(target string) string { return target },
		Fallback: balance.RoundRobin[string](),
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, candidates := range [][]string{
		{"anna", "ben", "cleo"},
		{"anna", "cleo"}, // ben is down
		{"anna", "ben", "cleo"},
	} {
		fmt.Println("candidates", candidates)
		for _, chat := range []string{"chat-1", "chat-2", "chat-3"} {
			req := &extract.Request{Header: http.Header{"X-Session-Id": {chat}}}
			choice, err := sel.Select(context.Background(), req, candidates)
			if err != nil {
				log.Fatal(err)
			}
			fmt.Printf("  %s -> %-5s %s\n", chat, choice.Target, choice.Reason)
			choice.Done(affinity.OutcomeOf(http.StatusOK, nil))
		}
	}
}
