"""The distributed hash table: who announces a topic, found without a server.

From top to bottom; each module imports those beside and below it, and none above:

    node                                    what users call
    driver bootstrap own_hosts outcomes     what moves it, whom it joins through, where it is
    core                                    a node without them: datagrams and `now` in, events out
    answers upkeep                          what answers do, and what is due by itself
    announcer publications holders          what this node announces, and who holds that
    value_service kept_values               and which values
    runner schedule suspects time_of_day    the operations that run, and what they share
    messenger introductions responder       what others ask of this node
    acquaintance                            how a stranger becomes a contact
    announcement_operations value_operations joining introducing
                                            what is made of a crawl, to each end
    storing operations                      and what several of them have in common
    query paths candidates referrers        the crawl
    routing storage tokens limits           who is known, what is held for others, and their bounds
    exchange calls round_trips observations sealing
                                            requests and answers on their way
    events                                  what the core tells
    datagrams messages contacts codes       the bytes of both
    records value_records hashing           what is hashed and signed
"""
