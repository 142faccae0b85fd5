"""Whether a number of four parts belongs to the name in front of it: a version in ``Python 3.8.1.2``, an address in
``Google 8.8.8.8``.

Of the two errors a missed address is the worse one: somebody's data stays in the corpus, where a masked version spoils
one number. So a capital alone decides nothing, for hosts, companies and the first words of sentences have one too. The
name must be that of a program known here, or be written as only names of programs are, and the number must have the
small parts that versions have.
"""

import re

PRODUCTS = frozenset((
    "acrobat", "android", "arduino", "audacity", "autocad", "binutils", "blender", "boost", "bugzilla", "busybox",
    "calibre", "cassandra", "centos", "chrome", "chromium", "clang", "clickhouse", "cmake", "coldfusion", "coreldraw",
    "coreutils", "cpython", "cuda", "cudnn", "cygwin", "cython", "debian", "delphi", "directx", "django", "dotnet",
    "dreamweaver", "drupal", "eclipse", "elasticsearch", "emacs", "erlang", "fedora", "ffmpeg", "filezilla",
    "firefox", "flash", "freebsd", "gcc", "ghostscript", "gimp", "glibc", "gnome", "gnupg", "gradle", "grafana",
    "grails", "groovy", "gzip", "hadoop", "hibernate", "httpd", "iceweasel", "imagemagick", "indesign", "inkscape",
    "ios", "ipados", "ironpython", "itunes", "java", "jboss", "jdk", "jenkins", "jira", "jmeter", "joomla", "jquery",
    "jre", "jruby", "jvm", "jython", "kde", "keras", "konqueror", "libcurl", "libpng", "libreoffice", "libtiff",
    "libxml2", "lighttpd", "linux", "llvm", "lua", "macos", "magento", "mariadb", "matlab", "maven", "mediawiki",
    "mongodb", "mono", "moodle", "mozilla", "msvc", "mysql", "netbeans", "netscape", "nginx", "node.js", "nodejs",
    "notepad++", "numpy", "openbsd", "opencv", "openjdk", "openmpi", "openoffice", "openssh", "openssl", "oracle",
    "outlook", "pandas", "perl", "photoshop", "php", "phpbb", "phpmyadmin", "postgres", "postgresql", "powerpoint",
    "powershell", "prestashop", "pypy", "python", "pytorch", "qt", "quicktime", "rabbitmq", "rails", "realplayer",
    "rhel", "rspec", "rstudio", "ruby", "rust", "rustc", "safari", "scala", "scikit-learn", "scipy", "seamonkey",
    "shockwave", "silverlight", "skype", "solaris", "splunk", "sqlite", "subversion", "suse", "symfony", "tensorflow",
    "thunderbird", "tomcat", "torch", "typo3", "ubuntu", "unity", "virtualbox", "vlc", "vmware", "weblogic",
    "websphere", "wildfly", "winamp", "windows", "winrar", "winzip", "wireshark", "wordpress", "xampp", "xcode",
    "xorg", "zlib", "zookeeper", "zoom",
))  # fmt: skip
"""Programs, in small letters. Left out: what a host can be called by its task (``node``, ``proxy``), what is typed
before an address (``curl``, ``putty``), and companies."""
PHRASES = (
    "flash player", "acrobat reader", "adobe reader", "foxit reader", "internet explorer", "media player",
    "visual studio", "visual c++", "microsoft office", "ms office", "creative cloud", "service pack",
)  # fmt: skip
"""Names of which the second word alone says nothing."""
RESOLVERS = frozenset(("1.1.1.1", "1.0.0.1", "8.8.8.8", "8.8.4.4", "9.9.9.9", "4.2.2.1", "4.2.2.2", "4.4.4.4"))
"""Addresses that everybody writes, whose parts are as small as those of versions."""
SMALL = 30
"""Of the last three parts of a version two are smaller, or the second is 0; of 25 random addresses one is so."""

_NAME = re.compile(r"(?:^|[\s(\[\"'])(?P<name>(?:[\w.+-]+[ \u00a0])?[\w.+-]+)[ \u00a0]\(?\Z")
_INNER_CAPITAL = re.compile(r"[A-Za-z]*[a-z][A-Z][A-Za-z]*\Z")
_OF_NETWORKS = re.compile(
    r"dns|vpn|host|serv|proxy|cloud|addr|gateway|router|client|peer|node|net|ips?\b", re.IGNORECASE
)
_PLACE = re.compile(r"[:/@]\d")
_HOST = re.compile(
    r"(?<![\w-])(?:ip(?:v4|s)?|(?:local)?host(?:name)?s?|servers?|dns|addr(?:ess)?|gateway|router|proxy|peer|client)[/-]\Z",
    re.IGNORECASE,
)


def is_version_of_product(before: str, number: str, behind: str) -> bool:
    """Say whether a number is the version of the program that is named right before it.

    Args:
        before: The text in front of the number, up to it.
        number: Four numbers with points between.
        behind: The text behind it; a port or the length of a network belongs to an address.
    """
    found = _NAME.search(before)
    if found is None or _PLACE.match(behind):
        return False
    words = found["name"].replace("\u00a0", " ")
    name = words.rpartition(" ")[2]
    parts = [int(part) for part in number.split(".")[1:]]
    if name.lower() in PRODUCTS or words.lower() in PHRASES:
        return parts[0] == 0 or sum(part < SMALL for part in parts) > 1
    written_so = _INNER_CAPITAL.match(name) is not None and _OF_NETWORKS.search(name) is None
    return written_so and max(parts) < 10 and number not in RESOLVERS


def is_called_a_host(before: str) -> bool:
    """Say whether the word that hangs on a number, by ``/`` or ``-``, says that it is an address: ``ip-8.8.8.8``."""
    return _HOST.search(before[-16:]) is not None
