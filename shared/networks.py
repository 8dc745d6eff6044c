"""Networks of IP addresses in a setting, separated by commas."""

from ipaddress import IPv4Network, IPv6Network, ip_network

Networks = list[IPv4Network | IPv6Network]


def parse_networks(text: str) -> Networks:
    """Parse networks; a single address is a network of one. Raises ValueError for other text."""
    return [ip_network(part.strip()) for part in text.split(",") if part.strip()]
