package extract

import (
	"strings"

	"github.com/go-affinity/affinity/internal/jsonscan"
)

// Where the parts of a prompt may be in a body. All tools and system prompts that are there
// belong to it, in this order. Of the messages only one list counts: the first in which those
// who ask find what they look for (see Request.list).
var (
	toolFields   = []field{toolsField, newField("toolConfig"), newField("functions"), newField("request.tools")}
	systemFields = []field{
		newField("system"),
		newField("systemInstruction"), newField("system_instruction"),
		newField("instructions"),
		newField("request.systemInstruction"), newField("request.system_instruction"),
	}
	messageFields = []field{newField("messages"), newField("contents"), newField("request.contents"), inputMessagesField, inputField}
)

var messageSet = setOfList(messageFields)

// messages returns the text of the messages: of several lists, the first that has something
// in it. It returns nil if there is none.
func (r *Request) messages() []byte {
	for _, f := range messageFields {
		if raw := r.list(f); hasMessages(raw) {
			return raw
		}
	}
	return nil
}

// list returns the text of one of the messageFields, or nil. An input that has the
// messages inside, as DashScope's does, is not a list itself.
func (r *Request) list(f field) []byte {
	raw := r.get(f)
	if f == inputField && r.index.present.has(inputMessagesField) {
		return nil
	}
	return raw
}

// hasMessages reports whether a value is a message or a list with something in
// it, whoever wrote that.
func hasMessages(raw []byte) bool {
	c := jsonscan.New(raw)
	kind := c.Kind()
	return kind == '"' || kind == '{' || c.Array() && c.Element()
}

// contextPrefix is how the id of a context of Volcengine's begins: with a date, as in
// ctx-20250218162710-6jwbk. An application may call a context of its own ctx-, and by another name
// in each request.
const contextPrefix = "ctx-20"

// eachKept calls f for what refers to parts of the prompt that the upstream keeps, or fills them
// in: cached contents, the context of Volcengine, the prompt template of OpenAI and, for Bedrock,
// the variables of the one that the path names. A prompt that is a string is no template, but a
// legacy prompt. A context may be a whole conversation, to which the messages are only what is
// new, or a prefix that many have in common.
func (r *Request) eachKept(f func(raw []byte)) {
	for _, cached := range [...]field{cachedContentField, requestCachedContentField} {
		if raw := r.get(cached); hasText(raw) {
			f(raw)
		}
	}
	context := r.member("context_id")
	if _, ok := idWith(contextPrefix, context); ok {
		f(context)
	}
	if raw := r.get(promptField); len(raw) > 0 && raw[0] == '{' {
		f(raw)
	}
	if strings.Contains(r.Path, "/converse") {
		if raw := r.member("promptVariables"); raw != nil {
			f(raw)
		}
	}
}
