// Plugin teaches the library a client that it has never heard of: a help desk
// whose requests carry a ticket in a header of their own, or in a member of the
// body. An extractor of one's own takes ten lines and nothing that is not
// exported.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"strings"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/balance"
	"github.com/go-affinity/affinity/extract"
)

// ticket finds "TICKET-123" in a header such as "X-Desk: eu/TICKET-123/urgent":
// priority and region may change in mid-conversation, the ticket does not.
func ticket(r *extract.Request) (extract.Session, bool) {
	for part := range strings.SplitSeq(r.Header.Get("X-Desk"), "/") {
		if id, ok := extract.ID(part); ok && strings.HasPrefix(id, "TICKET-") {
			return extract.Session{Source: "desk-ticket", ID: id}, true
		}
	}
	return extract.Session{}, false
}

func main() {
	chain := extract.Chain{
		extract.ExtractorFunc(ticket), // ours goes first
		extract.Body("desk.ticket"),   // newer versions put it here
	}
	chain = append(chain, extract.Default()...) // and all others are known as ever

	sel, err := affinity.New(affinity.Config[string]{
		ID:        func(target string) string { return target },
		Fallback:  balance.RoundRobin[string](),
		Extractor: chain,
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, req := range []*extract.Request{
		{Header: http.Header{"X-Desk": {"eu/TICKET-123"}}},
		{Body: []byte(`{"desk":{"ticket":"TICKET-456"}}`)},
		{Header: http.Header{"X-Desk": {"eu/TICKET-123/urgent"}}},
		{Header: http.Header{"X-Session-Id": {"somebody-else"}}},
		{Header: http.Header{"X-Desk": {"eu"}}},
	} {
		choice, err := sel.Select(context.Background(), req, []string{"anna", "ben", "cleo"})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%-5s %-11s %s\n", choice.Target, choice.Reason, choice.Source)
	}
}
