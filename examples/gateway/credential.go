package main

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// The headers in which the APIs take a credential. OpenAI takes it among the protocols of a
// WebSocket as well.
var credentialHeaders = []string{"Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key", "Ocp-Apim-Subscription-Key", "X-Litellm-Api-Key"}

const (
	protocolHeader = "Sec-Websocket-Protocol"
	protocolPrefix = "openai-insecure-api-key."
)

// The parameters of a query in which some take it, and the headers that mean the same, in which
// an upstream gets its own key. It may repeat a query in what the client gets: in an address to
// go on at or, as Google does where there is nothing at an address, in the text.
var credentialParameters = map[string]string{
	"key":              "X-Goog-Api-Key",
	"access_token":     "Authorization",
	"oauth_token":      "Authorization",
	"api-key":          "Api-Key",
	"subscription-key": "Ocp-Apim-Subscription-Key",
}

// credentialParameter returns the header and the value, as it is on the wire, of a part of a
// query that holds a credential; if it holds none, there is no header.
func credentialParameter(part string) (header, value string) {
	name, value, _ := strings.Cut(part, "=")
	plain, _ := url.QueryUnescape(name)
	return credentialParameters[plain], value
}

// queryTenant is extract.Credential for the query, which an extract.Request lacks:
// whose sessions the request can name.
func queryTenant(rawQuery string) string {
	var b []byte
	for part := range strings.SplitSeq(rawQuery, "&") {
		if header, v := credentialParameter(part); header != "" {
			b = append(append(strconv.AppendInt(b, int64(len(v)), 10), ':'), v...)
		}
	}
	return string(b)
}

// authorize puts key into the headers in which the client put its credential, or that mean
// the same, or if there is none, where the API of that path wants it. The rest of the query stays
// to the byte, which url.Values would not let it.
func authorize(r *http.Request, key string) {
	found := false
	for _, name := range credentialHeaders {
		if len(r.Header[name]) > 0 {
			setCredential(r.Header, name, key)
			found = true
		}
	}
	for i, v := range r.Header[protocolHeader] {
		var protocols []byte
		for p := range strings.SplitSeq(v, ",") {
			if strings.HasPrefix(strings.TrimSpace(p), protocolPrefix) {
				p, found = " "+protocolPrefix+key, true
			}
			protocols = append(append(protocols, ','), p...)
		}
		r.Header[protocolHeader][i] = strings.TrimSpace(string(protocols[1:]))
	}
	r.URL.RawQuery = strings.Join(slices.DeleteFunc(strings.Split(r.URL.RawQuery, "&"), func(part string) bool {
		name, _ := credentialParameter(part)
		if name != "" {
			setCredential(r.Header, name, key)
			found = true
		}
		return name != ""
	}), "&")
	if !found {
		setCredential(r.Header, credentialHeader(r.URL.Path), key)
	}
}

// withhold takes the key out of an answer that repeats what the request offered to speak, and
// puts in what the client had in that place. If it had nothing there, the header goes: it must not
// be empty (RFC 6455, section 4.3).
func withhold(answer http.Header, client *http.Request, key string) {
	var offered string
	for p := range strings.SplitSeq(strings.Join(client.Header[protocolHeader], ","), ",") {
		if p = strings.TrimSpace(p); strings.HasPrefix(p, protocolPrefix) {
			offered = p
			break
		}
	}
	for i, v := range answer[protocolHeader] {
		if strings.TrimSpace(v) != protocolPrefix+key {
			continue
		}
		if offered == "" {
			answer.Del(protocolHeader)
			return
		}
		answer[protocolHeader][i] = offered
	}
}

func setCredential(h http.Header, name, key string) {
	if name == "Authorization" {
		key = "Bearer " + key
	}
	h[name] = []string{key}
}

// credentialHeader returns the header that the API of the path wants.
func credentialHeader(path string) string {
	switch {
	case strings.Contains(path, "/v1/messages"):
		return "X-Api-Key"
	case strings.Contains(path, "/openai/"): // Gemini has that too
	case strings.Contains(path, "/v1beta/"), strings.HasSuffix(path, ":generateContent"), strings.HasSuffix(path, ":streamGenerateContent"):
		return "X-Goog-Api-Key"
	}
	return "Authorization"
}
