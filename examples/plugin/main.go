// Plugin teaches the library a client that it does not know: a help desk whose requests
// carry a ticket, in a header of its own or in the body. Such an extractor takes ten lines,
// and nothing but what the packages export.
//
// If a header or a member of the body holds the id and nothing else, you need not write
// one: extract.Header("X-Ticket") and extract.Body("desk.ticket") are extractors.
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

// ticket finds "TICKET-123" in a header such as "X-Desk: eu/TICKET-123/urgent". Region and
// priority may change in mid-conversation; the ticket does not. Newer versions of the desk
// send it in the body. That names the same conversation, so it has the same Source.
func ticket(r *extract.Request) (extract.Session, bool) {
	for part := range strings.SplitSeq(r.Header.Get("X-Desk"), "/") {
		if id, ok := extract.ID(part); ok && strings.HasPrefix(id, "TICKET-") {
			return extract.Session{Source: "desk-ticket", ID: id}, true
		}
	}
	s, ok := inBody.Extract(r) // reads the body once, for itself and for those behind it
	s.Source = "desk-ticket"
	return s, ok
}

var inBody = extract.Body("desk.ticket")

func main() {
	chain := extract.Chain{extract.ExtractorFunc(ticket)} // ours goes first
	chain = append(chain, extract.Default()...)           // and all other clients are known as before

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
		{Header: http.Header{"X-Desk": {"eu/TICKET-456"}}},
		{Header: http.Header{"X-Desk": {"eu/TICKET-123/urgent"}}},
		{Body: []byte(`{"desk":{"ticket":"TICKET-456"},"messages":[]}`)},
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
