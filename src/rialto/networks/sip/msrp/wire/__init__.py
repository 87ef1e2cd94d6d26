"""MSRP connections, sans-I/O.

From bytes to meaning, inside to outside:

    uri          addresses of sessions, and when two are one      heads      start lines and header fields
    framing      a stream -> heads, content, ends                 assembly   chunks -> content in order
    outgoing     a message of ours on its way                     lanes      whose turn it is to send
    incoming     a message of theirs on its way                   session    both ends of a conversation
    connection   the machine: transactions, reports, time         events     what it tells
    relay        how a relay comes to act for us
"""
